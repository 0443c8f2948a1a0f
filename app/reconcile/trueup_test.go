package reconcile_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
	"tollbook/app/reconcile"
)

// TestATrueUpIsItsItems: whatever items and streams, each item is given out whole, to streams
// of its model alone, and nothing is given for any other class.
func TestATrueUpIsItsItems(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var streams []reconcile.Stream
		for range rapid.IntRange(1, 9).Draw(r, "streams") {
			streams = append(streams, reconcile.Stream{
				Group: reconcile.Group{Surface: reconcile.SurfaceGateway, Model: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "model"), Tier: rapid.SampledFrom([]string{"", "batch"}).Draw(r, "tier")},
				Blind: rapid.Bool().Draw(r, "blind"), Held: map[reconcile.Meter]int64{reconcile.MeterOutput: rapid.Int64Range(0, 9).Draw(r, "held")},
			})
		}
		var items []reconcile.Item
		for range rapid.IntRange(1, 6).Draw(r, "items") {
			it := reconcile.Item{
				Class:    rapid.SampledFrom([]reconcile.Class{reconcile.ClassAborted, reconcile.ClassUnknown, reconcile.ClassBypass}).Draw(r, "class"),
				Quantity: rapid.Int64Range(-1000, 1000).Filter(func(n int64) bool { return n != 0 }).Draw(r, "quantity"),
				Cell: reconcile.Cell{
					Group: reconcile.Group{Surface: reconcile.SurfaceGateway, Model: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "model")},
					Meter: rapid.SampledFrom([]reconcile.Meter{reconcile.MeterOutput, reconcile.MeterInput, reconcile.MeterRequests}).Draw(r, "meter"),
				},
			}
			it.List.Add(money.Pico(rapid.Int64Range(-1<<50, 1<<50).Draw(r, "list")))
			it.Amount.Add(money.Pico(rapid.Int64Range(-1<<50, 1<<50).Draw(r, "amount")))
			items = append(items, it)
		}
		gains, err := reconcile.TrueUp(items, streams)
		if err != nil {
			require.ErrorIs(r, err, reconcile.ErrNoStream)
			return
		}
		quantities, lists, amounts := make([]int64, len(items)), make([]money.Sum, len(items)), make([]money.Sum, len(items))
		for i := range gains {
			g := &gains[i]
			require.Equal(r, reconcile.ClassAborted, items[g.Item].Class)
			require.Equal(r, items[g.Item].Cell.Model, streams[g.Stream].Model)
			if items[g.Item].Quantity > 0 && g.Meter != reconcile.MeterOutput {
				require.True(r, streams[g.Stream].Blind, "of what was seen whole there is no more")
			}
			quantities[g.Item] += g.Quantity
			lists[g.Item].AddSum(&g.List)
			amounts[g.Item].AddSum(&g.Amount)
		}
		for i := range items {
			if items[i].Class == reconcile.ClassAborted {
				require.Equal(r, items[i].Quantity, quantities[i])
				require.Zero(r, items[i].List.Cmp(&lists[i]))
				require.Zero(r, items[i].Amount.Cmp(&amounts[i]))
			}
		}
	})
}

// TestWhatWasCountedLessIsTakenFromWhatWasRecorded, and never more than that.
func TestWhatWasCountedLessIsTakenFromWhatWasRecorded(t *testing.T) {
	t.Parallel()
	group := reconcile.Group{Surface: reconcile.SurfaceGateway, Model: "a"}
	held := func(n int64) reconcile.Stream {
		return reconcile.Stream{Group: group, Held: map[reconcile.Meter]int64{reconcile.MeterOutput: n}}
	}
	it := reconcile.Item{Class: reconcile.ClassAborted, Cell: reconcile.Cell{Group: group, Meter: reconcile.MeterOutput}, Quantity: -8}
	it.Amount.Add(-800)
	gains, err := reconcile.TrueUp([]reconcile.Item{it}, []reconcile.Stream{held(3), held(0), held(5)})
	require.NoError(t, err)
	require.Len(t, gains, 2)
	require.Equal(t, []int64{-3, -5}, []int64{gains[0].Quantity, gains[1].Quantity})
	require.Equal(t, []string{"-300", "-500"}, []string{gains[0].Amount.Digits(), gains[1].Amount.Digits()})
	_, err = reconcile.TrueUp([]reconcile.Item{it}, []reconcile.Stream{held(0)})
	require.ErrorIs(t, err, reconcile.ErrNoStream)
}
