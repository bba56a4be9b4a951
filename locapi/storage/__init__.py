"""The database: connection, collections, migration and driver errors."""
