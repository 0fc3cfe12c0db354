"""The DICOM front door: associations, durable files, the catalogue and what to analyse."""
