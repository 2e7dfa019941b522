package console

import "net/http"

// visitor is who looks at a page: nobody by name where there is no login.
type visitor struct {
	Name    string // in which acts are signed; "" where each act says who
	Account string // how whoever is logged in is called; "" where nobody logs in
	Role    Role
}

// visitor is who a request comes from. Whoever reaches a console without people may do everything.
func (w *web) visitor(r *http.Request) visitor {
	if w.Access == nil {
		return visitor{Role: Admin}
	}
	who := identityOf(r)
	v := visitor{Account: who.Name, Role: who.Role}
	if !who.Shared {
		v.Name = who.Name
	}
	return v
}
