package export

import "strings"

// Formula says whether a spreadsheet would run a text as a formula where a file with it
// is opened (CWE-1236).
func Formula(text string) bool { return strings.IndexAny(text, "=+-@\t\r") == 0 }

// Guarded keeps a text from being a formula where it is opened: labels and tags come from
// whoever declared them.
func Guarded(text string) string {
	if Formula(text) {
		return "'" + text
	}
	return text
}
