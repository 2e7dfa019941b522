package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"embergate/gateway/alarm"
)

var (
	reminding = []string{alarm.EventReminder, alarm.EventEscalated}
	ending    = []string{alarm.EventCleared, alarm.EventFaultCleared, alarm.EventReset, alarm.EventClosed}
)

// Ends tells whether a message of that type says how an alarm ended: it waits for what came before it of that alarm.
func Ends(kind string) bool { return slices.Contains(ending, kind) }

// Reminds tells whether a message of that type only says again what was said: once somebody has answered, nobody wants it.
func Reminds(kind string) bool { return slices.Contains(reminding, kind) }

// words are texts of ours as SQL has them in a list.
func words(list []string) string { return `'` + strings.Join(list, `', '`) + `'` }

// withdraw drops what waits of an alarm and only reminds. One that is on its way now arrives all the same.
func withdraw(db *sql.Tx, id string) error {
	_, err := db.Exec(`DELETE FROM messages WHERE alarm = ? AND alarm <> '' AND type IN (`+words(reminding)+`)`, id)
	if err != nil {
		return fmt.Errorf("withdraw reminders of alarm %s: %w", id, err)
	}
	return nil
}
