package money

import (
	"math/big"
	"sort"

	"tollbook/app/fault"
)

// ErrWeights reports weights that cannot divide anything: none, a negative one,
// or all zero with something to divide.
var ErrWeights = fault.New(fault.KindInvalid, "split_weights", "Shares must be zero or more, and at least one above zero.")

// Split divides total by weights so that the parts sum exactly to total.
// Leftover units go to the largest remainders; ties go to the lower index, so a
// rerun of a closed month gives the same cents. A negative total is the mirror
// of the positive one.
func Split[T ~int64](total T, weights []int64) ([]T, error) {
	exact := make([]Sum, len(weights))
	for i, w := range weights {
		exact[i].n.SetInt64(w)
	}
	return SplitSums(total, exact)
}

// SplitSums is Split by exact amounts, whatever their size.
func SplitSums[T ~int64](total T, weights []Sum) ([]T, error) {
	sum := new(big.Int)
	for i := range weights {
		if weights[i].Sign() < 0 {
			return nil, ErrWeights
		}
		sum.Add(sum, &weights[i].n)
	}
	if sum.Sign() == 0 {
		return nil, ErrWeights
	}
	negative := total < 0
	left := new(big.Int).SetUint64(magnitude(int64(total)))
	amount := new(big.Int).Set(left)
	parts := make([]T, len(weights))
	remainders := make([]*big.Int, len(weights))
	for i := range weights {
		quotient, remainder := new(big.Int).QuoRem(new(big.Int).Mul(amount, &weights[i].n), sum, new(big.Int))
		left.Sub(left, quotient)
		remainders[i] = remainder
		parts[i] = signed[T](quotient.Uint64(), negative)
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return remainders[order[a]].Cmp(remainders[order[b]]) > 0 })
	for _, i := range order[:left.Int64()] {
		parts[i] += signed[T](1, negative)
	}
	return parts, nil
}

func signed[T ~int64](n uint64, negative bool) T {
	if negative {
		return -T(n)
	}
	return T(n)
}

// WholeCents rounds exact amounts to cents so that they add up to their total, rounded half
// to even: each is the whole cent below or above its amount, the cents that are left over go
// to the largest remainders, and ties to the lower index. What is whole already stays.
func WholeCents(amounts []Sum) ([]Cents, error) {
	cent := big.NewInt(picoPerCent)
	exact, left := new(big.Int), new(big.Int)
	parts, remainders, order := make([]Cents, len(amounts)), make([]*big.Int, len(amounts)), make([]int, len(amounts))
	for i := range amounts {
		below, rest := new(big.Int).DivMod(&amounts[i].n, cent, new(big.Int))
		if !below.IsInt64() {
			return nil, ErrOverflow
		}
		exact.Add(exact, &amounts[i].n)
		left.Sub(left, below)
		parts[i], remainders[i], order[i] = Cents(below.Int64()), rest, i
	}
	total := halfEven(exact, picoPerCent)
	if !total.IsInt64() {
		return nil, ErrOverflow
	}
	left.Add(left, total)
	sort.SliceStable(order, func(a, b int) bool { return remainders[order[a]].Cmp(remainders[order[b]]) > 0 })
	for _, i := range order[:left.Int64()] {
		parts[i]++
	}
	return parts, nil
}
