module github.com/updateage/session/echosession

go 1.25.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/updateage/session v0.0.0
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/updateage/session => ../
