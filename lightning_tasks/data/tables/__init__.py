"""From a csv file to rows that were checked, and their splits."""
