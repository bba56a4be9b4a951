"""Run the commands in the pages, and compare generated tables with the code."""
