"""The studio: a page on this machine in which a photo is edited by hand."""
