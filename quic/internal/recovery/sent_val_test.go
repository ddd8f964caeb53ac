package recovery

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSentVal(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(v *SentVal)
		want SentVal
		// send and probe are the results of ShouldSend for a packet and for a probe.
		send, probe bool
	}{
		{"zero value", func(v *SentVal) {}, sentValUnset, false, false},
		{"set", func(v *SentVal) { v.Set() }, sentValUnsent, true, true},
		{"sent", func(v *SentVal) { v.Set(); v.SetSent(7) }, sentValSent | 7, false, true},
		{"acked", func(v *SentVal) { v.Set(); v.SetSent(7); v.AckOrLoss(7, Acked) }, sentValReceived, false, false},
		{"lost", func(v *SentVal) { v.Set(); v.SetSent(7); v.AckOrLoss(7, Lost) }, sentValUnsent, true, true},
		{"older packet lost", func(v *SentVal) { v.Set(); v.SetSent(7); v.SetSent(9); v.AckOrLoss(7, Lost) }, sentValSent | 9, false, true},
		{"older packet acked", func(v *SentVal) { v.Set(); v.SetSent(7); v.Set(); v.SetSent(9); v.AckOrLoss(7, Acked) }, sentValSent | 9, false, true},
		{"new value while sent", func(v *SentVal) { v.Set(); v.SetSent(7); v.Set(); v.AckOrLoss(7, Acked) }, sentValUnsent, true, true},
		{"lost after received", func(v *SentVal) { v.Set(); v.SetSent(7); v.SetReceived(); v.AckOrLoss(7, Lost) }, sentValReceived, false, false},
		{"again after received", func(v *SentVal) { v.Set(); v.SetReceived(); v.SetUnsent() }, sentValUnsent, true, true},
		{"nothing to send again", func(v *SentVal) { v.SetUnsent() }, sentValUnset, false, false},
		{"cleared", func(v *SentVal) { v.Set(); v.SetSent(7); v.Clear(); v.AckOrLoss(7, Lost) }, sentValUnset, false, false},
		{"packet 0", func(v *SentVal) { v.Set(); v.SetSent(0); v.AckOrLoss(0, Lost) }, sentValUnsent, true, true},
		{"largest number", func(v *SentVal) { v.Set(); v.SetSent(1<<62 - 1) }, sentValSent | (1<<62 - 1), false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var v SentVal
			test.do(&v)
			require.Equal(t, test.want, v)
			require.Equal(t, test.send, v.ShouldSend(false), "in a packet")
			require.Equal(t, test.probe, v.ShouldSend(true), "in a probe")
			require.Equal(t, v != 0, v.IsSet())
			require.Equal(t, test.want == sentValReceived, v.IsReceived())
			require.Equal(t, !test.send && test.probe, v.IsSent())
		})
	}
}
