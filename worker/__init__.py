"""The analysis: a series in, findings, a priority and DICOM objects out."""
