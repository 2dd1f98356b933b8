module github.com/updateage/session

go 1.25
