package console

import "net/http"

// visitor is who looks at a page: nobody by name where there is no login.
type visitor struct {
	Name string
	Role Role
}

// visitor is who a request comes from. Whoever reaches a console without people may do everything.
func (w *web) visitor(*http.Request) visitor { return visitor{Role: Admin} }
