package app

import (
	"context"
	"errors"

	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// KeptFile is what became of a file of a finance system that was taken whole.
type KeptFile struct {
	Change id.Change // that keeps it
	Lines  int
}

// flawedError carries the flaws of a file out of the transaction that then keeps nothing.
type flawedError struct{ flaws []erp.Flaw }

func (*flawedError) Error() string { return "the file has flaws" }

// AcknowledgeOnce is Acknowledge for a caller that may have to repeat itself: a file with a
// flaw is refused whole, by its first one.
func (x *Exports) AcknowledgeOnce(ctx context.Context, who Actor, ask AcknowledgeAsk, once string) (KeptFile, error) {
	kept, flaws, err := x.acknowledge(ctx, who, ask, once)
	return kept, refusedFile(flaws, err)
}

// ImportActualsOnce is ImportActuals for a caller that may have to repeat itself.
func (x *Exports) ImportActualsOnce(ctx context.Context, who Actor, ask ActualsAsk, once string) (KeptFile, error) {
	kept, flaws, err := x.importActuals(ctx, who, ask, once)
	return kept, refusedFile(flaws, err)
}

func refusedFile(flaws []erp.Flaw, err error) error {
	if err != nil || len(flaws) == 0 {
		return err
	}
	return fault.Invalid("file", "finance_file", "%s Nothing was taken.", flaws[0])
}

// withoutFlaws tells flaws from failures.
func withoutFlaws(err error) ([]erp.Flaw, error) {
	var flawed *flawedError
	if errors.As(err, &flawed) {
		return flawed.flaws, nil
	}
	return nil, err
}
