"""Import files of fixes: find out the format, read row by row, judge by the API's rules, store."""
