package store

import (
	"database/sql"
	"fmt"
	"slices"

	"embergate/gateway/alarm"
)

// Reminds tells whether a message of that type only says again what was said: once somebody has answered, nobody wants it.
func Reminds(kind string) bool {
	return slices.Contains([]string{alarm.EventReminder, alarm.EventEscalated}, kind)
}

// withdraw drops what waits of an alarm and only reminds. One that is on its way now arrives all the same.
func withdraw(db *sql.Tx, id string) error {
	_, err := db.Exec(`DELETE FROM messages WHERE alarm = ? AND alarm <> '' AND type IN (?, ?)`, id, alarm.EventReminder, alarm.EventEscalated)
	if err != nil {
		return fmt.Errorf("withdraw reminders of alarm %s: %w", id, err)
	}
	return nil
}
