package period

import (
	"fmt"
	"time"
)

// Fiscal is a company's fiscal calendar: the calendar month its year begins with. It
// says what a month is called and never moves one: books stay in UTC calendar months.
type Fiscal struct{ First time.Month }

// Quarter is what the fiscal calendar calls a month's quarter, such as "Q3 FY2027". A
// fiscal year is named by the calendar year it ends in.
func (f Fiscal) Quarter(m Month) string {
	first := max(f.First, time.January)
	into := (int(m.first.Month()) - int(first) + 12) % 12
	ends := m.first.AddDate(0, 11-into, 0)
	return fmt.Sprintf("Q%d FY%d", into/3+1, ends.Year())
}
