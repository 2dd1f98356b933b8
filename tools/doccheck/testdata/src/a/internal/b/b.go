package b

func Exported() {}
