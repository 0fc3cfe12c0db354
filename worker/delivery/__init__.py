"""The outbox: results to PACS, RIS and others, once, most urgent first, however long it takes."""
