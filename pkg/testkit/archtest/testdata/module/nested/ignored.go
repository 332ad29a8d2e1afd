package ignored

func init() { go panic("nobody looks here") }
