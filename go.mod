module github.com/updateage/session

go 1.25

require github.com/gorilla/securecookie v1.1.2
