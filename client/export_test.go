package client

// LockFile is for a process of the tests that holds the lock.
var LockFile = lockFile
