module github.com/updateage/session/gateway

go 1.25

require (
	github.com/go-jose/go-jose/v4 v4.1.8
	github.com/updateage/session v0.0.0
)

require github.com/gorilla/securecookie v1.1.2 // indirect

replace github.com/updateage/session => ../
