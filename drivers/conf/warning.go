package conf

import "embergate/drivers/i18n"

// Warning says something of a section that is no mistake, but that its author should know. It is not among the problems,
// and keeps nothing from running.
func (s Section) Warning(format string, args ...any) Problem {
	p := Problem{What: i18n.T(format, args...), Line: s.line, Column: s.col, Key: s.path}
	if s.doc != nil {
		p.File = s.doc.name
	}
	return p
}
