"""The report: one page that shows what a selected subset is worth."""
