module github.com/updateage/session/internal/adaptertest/chi

go 1.25

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/updateage/session v0.0.0
)

require github.com/gorilla/securecookie v1.1.2 // indirect

replace github.com/updateage/session => ../../../
