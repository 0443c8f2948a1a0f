package reconcile

import (
	"errors"
	"math/big"

	"tollbook/app/money"
)

// Stream is a request that ended without its final usage, as we have it.
type Stream struct {
	Group

	Blind bool            // nothing of it is known
	Held  map[Meter]int64 // what was recorded of it
}

// Gain is what a true-up adds to a stream in one meter; below zero where the provider counted
// less than was recorded.
type Gain struct {
	Stream   int // its place
	Item     int // whose evidence it is, by its place among the day's
	Meter    Meter
	Quantity int64
	List     money.Sum
	Amount   money.Sum // net
}

// ErrNoStream reports an item of streams that broke off for which none is there any more.
var ErrNoStream = errors.New("no request that broke off is left for a reconciling item")

// TrueUp divides a day's items of streams that broke off over those streams: each item whole,
// evenly over those that can hold it, and what the provider counted less by what was recorded.
// Gains stand by item and then by stream.
func TrueUp(items []Item, streams []Stream) ([]Gain, error) {
	var gains []Gain
	for place := range items {
		it := &items[place]
		if it.Class != ClassAborted {
			continue
		}
		weights, found := it.bearers(streams)
		if !found {
			return nil, ErrNoStream
		}
		quantities, err := money.Split(it.Quantity, weights)
		if err != nil {
			return nil, err
		}
		gains = append(gains, it.portions(place, quantities)...)
	}
	return gains, nil
}

// bearers weighs streams by how much of the item each may hold: those of the item's own group
// first, or any of its model; of what only the provider has, those of which nothing is known.
func (i *Item) bearers(streams []Stream) (weights []int64, found bool) {
	weigh := func(s *Stream, same bool) int64 {
		switch {
		case s.Model != i.Cell.Model, same && s.Plain() != i.Cell.Plain():
			return 0
		case i.Quantity < 0:
			return s.Held[i.Cell.Meter]
		case i.Cell.Meter != MeterOutput && i.Cell.Meter != MeterWebSearch && !s.Blind:
			return 0
		}
		return 1
	}
	for _, same := range [...]bool{true, false} {
		weights = make([]int64, len(streams))
		for k := range streams {
			weights[k] = weigh(&streams[k], same)
			found = found || weights[k] != 0
		}
		if found {
			break
		}
	}
	return weights, found
}

// portions lays the item's money beside its quantities; it comes to the item's, exactly.
func (i *Item) portions(place int, quantities []int64) []Gain {
	var gains []Gain
	var done int64
	var list, amount money.Sum
	for k, quantity := range quantities {
		if quantity == 0 {
			continue
		}
		done += quantity
		upTo, whole := big.NewInt(done), big.NewInt(i.Quantity)
		one := Gain{Stream: k, Item: place, Meter: i.Cell.Meter, Quantity: quantity}
		next := i.List.Scaled(upTo, whole)
		one.List, list = minus(&next, &list), next
		next = i.Amount.Scaled(upTo, whole)
		one.Amount, amount = minus(&next, &amount), next
		gains = append(gains, one)
	}
	return gains
}
