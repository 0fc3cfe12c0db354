"""The DICOM objects that carry a result: report, pages and key images, each read back."""
