module github.com/updateage/session/client/keyring

go 1.25

require (
	github.com/updateage/session v0.0.0
	// It is maintained, small, and needs no cgo: Keychain by /usr/bin/security,
	// Credential Manager by its system calls, Secret Service over D-Bus.
	github.com/zalando/go-keyring v0.2.8
)

require (
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	golang.org/x/sys v0.27.0 // indirect
)

replace github.com/updateage/session => ../../
