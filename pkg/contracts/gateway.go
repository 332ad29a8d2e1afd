package contracts

// Gateway is the name under which what acts for people signs its tokens.
const Gateway = "gateway"
