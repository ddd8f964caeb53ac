package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// "The PTO period MUST be at least kGranularity to avoid the timer expiring immediately."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-5
func TestPTOComputation(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.wantNoTimer("nothing was sent")
	lt.send(SpaceInitial, 1)
	// "This results in handshakes starting with a PTO of 1 second".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2-1
	lt.wantTimer("initial RTT of 333 ms", 999*ms)

	lt.advance(40 * ms)
	lt.ack(SpaceInitial, 0, 0)
	lt.l.SetMaxAckDelay(10 * ms)
	lt.send(SpaceHandshake, 1)
	// "When the PTO is armed for Initial or Handshake packet number spaces, the max_ack_delay in
	// the PTO period computation is set to 0".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-4
	lt.wantTimer("40 ms + 4 * 20 ms", 120*ms)

	lt.advance(10 * ms)
	lt.ack(SpaceHandshake, 0, 0)
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	lt.send(SpaceApp, 1)
	// "An endpoint MUST NOT set its PTO timer for the Application Data packet number space until
	// the handshake is confirmed."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-7
	lt.wantNoTimer("not confirmed")
	lt.l.ConfirmHandshake(lt.now)
	lt.l.active.rtt = RTT{Latest: 40 * ms, Min: 40 * ms, Smoothed: 40 * ms, Variance: 5 * ms, Sampled: true}
	lt.wantTimer("with max_ack_delay", (40+20+10)*ms)
	lt.l.active.rtt.Variance = 0
	lt.wantTimer("with kGranularity", (40+1+10)*ms)
	require.Equal(t, 51*ms, lt.l.PTO())
}

func TestPTOBackoff(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 3) // 1 to 3
	lt.wantTimer("40 + 80 + 25 ms", 145*ms)
	lt.expire()
	// "A PTO timer expiration event does not indicate packet loss and MUST NOT cause prior
	// unacknowledged packets to be marked as lost."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2-3
	lt.want()
	lt.wantProbes("two datagrams", 2, SpaceApp)
	lt.advance(ms)
	lt.send(SpaceApp, 2) // 4, 5
	lt.wantProbes("both sent", 0, SpaceApp)
	// "A sender MUST however count these packets as being additionally in flight, since these packets add network load
	// without establishing packet loss."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.5-1
	require.Equal(t, 5*1200, lt.l.Path().BytesInFlight())
	// "When a PTO timer expires, the PTO backoff MUST be increased, resulting in the PTO period
	// being set to twice its current value."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
	lt.wantTimer("doubled, counted from the probes", 290*ms)
	lt.expire()
	lt.wantTimer("doubled, although no probe was sent", 580*ms)
	for range 20 {
		lt.expire()
	}
	lt.wantTimer("bounded", maxPTO)

	// "The PTO backoff factor is reset when an acknowledgment is received".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
	lt.send(SpaceApp, 1) // 6
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 1, -6)
	lt.wantProbes("progress: no probe is needed", 0, SpaceApp)
	lt.send(SpaceApp, 1)
	lt.wantTimer("as in the beginning", lt.l.PTO())
}

func TestPTOBackoffCapInHandshake(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceInitial, 2)
	want := []time.Duration{999 * ms, 1998 * ms, 2000 * ms, 2000 * ms}
	for _, d := range want {
		lt.wantTimer("the maximum during the handshake is 2 s", d)
		lt.expire()
		lt.send(SpaceInitial, 2)
	}
}

// "When a PTO timer expires, a sender MUST send at least one ack-eliciting packet in the packet number space as a
// probe."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func TestPTOProbesEarliestSpace(t *testing.T) {
	lt := newLossTest(t, Config{Server: true})
	lt.l.Path().ValidateAddress()
	lt.send(SpaceInitial, 1)
	lt.advance(20 * ms)
	lt.send(SpaceInitial, 1)
	lt.send(SpaceHandshake, 2)
	lt.send(SpaceApp, 1)
	// "When ack-eliciting packets in multiple packet number spaces are in flight, the timer MUST be
	// set to the earlier value of the Initial and Handshake packet number spaces."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-6
	lt.wantTimer("from the last packet", 999*ms)
	lt.advance(10 * ms)
	lt.send(SpaceInitial, 1)
	lt.wantTimer("Handshake's, now the earlier", 989*ms)
	lt.expire()
	lt.wantProbes("half of the ServerHello may be missing", 2, SpaceInitial)
	lt.ack(SpaceInitial, 0, 0, -2)
	lt.expire()
	lt.wantProbes("Initial packets are all acknowledged", 2, SpaceHandshake)
	lt.l.DiscardSpace(lt.now, SpaceHandshake)
	// "When Initial or Handshake keys are discarded, the PTO and loss detection timers MUST be
	// reset, because discarding keys indicates forward progress".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2-3
	require.Zero(t, lt.l.ProbesPending())
	lt.wantNoTimer("App packets before the handshake is confirmed")
	// "The sender MUST discard all recovery state associated with those packets and MUST remove them from the count of
	// bytes in flight."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.4-1
	require.Equal(t, 1200, lt.l.Path().BytesInFlight())
	lt.l.ConfirmHandshake(lt.now)
	lt.expire()
	lt.wantProbes("confirmed", 2, SpaceApp)
}

func TestPTONotResetByInitialAcks(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceInitial, 1)
	lt.expire()
	lt.send(SpaceInitial, 2)
	lt.advance(40 * ms)
	lt.ack(SpaceInitial, 0, 2)
	// "[A] client does not reset the PTO backoff factor on receiving acknowledgments in Initial
	// packets."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
	lt.advance(ms)
	lt.send(SpaceInitial, 1)
	lt.got = nil
	lt.expire() // packets 0 and 1 are lost by time
	lt.advance(ms)
	lt.send(SpaceInitial, 1)
	lt.wantTimer("still doubled", 2*120*ms)
	lt.send(SpaceHandshake, 1)
	lt.advance(40 * ms)
	lt.ack(SpaceHandshake, 0, 0)
	require.Equal(t, 40*ms, lt.l.Path().RTT().Latest)
	lt.wantTimer("the server has seen our Handshake packet", lt.l.active.rtt.pto()-40*ms)
}

// "To prevent this deadlock, clients MUST send a packet on a Probe Timeout (PTO); see Section 6.2 of
// [QUIC-RECOVERY]."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-6
// "Specifically, the client MUST send an Initial packet in a UDP datagram that contains at least 1200 bytes if it
// does not have Handshake keys, and otherwise send a Handshake packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-6
func TestPTOAntiDeadlock(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceInitial, 2)
	lt.advance(40 * ms)
	lt.ack(SpaceInitial, 0, 0, -1)
	// "[T]he client MUST set the PTO timer if the client has not received an acknowledgment for any
	// of its Handshake packets and the handshake is not confirmed (see Section 4.1.2 of
	// [QUIC-TLS]), even if there are no packets in flight."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-3
	require.Zero(t, lt.l.Path().BytesInFlight())
	lt.wantTimer("from the last event", 120*ms)
	lt.expire()
	// "When the PTO fires, the client MUST send a Handshake packet if it has Handshake keys,
	// otherwise it MUST send an Initial packet in a UDP datagram with a payload of at least 1200
	// bytes."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-3
	lt.wantProbes("no Handshake keys", 2, SpaceInitial)
	lt.l.SetHandshakeKeys()
	lt.wantTimer("backed off", 240*ms)
	lt.expire()
	lt.wantProbes("Handshake keys", 2, SpaceHandshake)
	lt.send(SpaceHandshake, 1)
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	lt.wantTimer("keys discarded", 120*ms)
	lt.advance(40 * ms)
	lt.ack(SpaceHandshake, 0, 0)
	lt.wantNoTimer("the server has validated our address")

	// A server is not responsible for that.
	lt = newLossTest(t, Config{Server: true})
	lt.l.Path().ValidateAddress()
	lt.send(SpaceInitial, 1)
	lt.advance(40 * ms)
	lt.ack(SpaceInitial, 0, 0)
	lt.wantNoTimer("server with nothing in flight")
}

func TestPTOAndLossTimer(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 2) // 1, 2
	lt.advance(40 * ms)
	lt.send(SpaceApp, 1) // 3
	lt.ack(SpaceApp, 0, 2)
	// "The PTO timer MUST NOT be set if a timer is set for time threshold loss detection".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-12
	lt.wantTimer("loss of packet 1", 5*ms)
	lt.expire()
	require.Zero(t, lt.l.ProbesPending())
	lt.wantTimer("probe for packet 3", lt.l.PTO()-5*ms)
}

func TestAmplificationLimit(t *testing.T) {
	lt := newLossTest(t, Config{Server: true})
	lt.wantLimit("nothing received", SendNothing)
	lt.l.Path().DatagramReceived(1200)
	// "Prior to validating the client address, servers MUST NOT send more than three times as many
	// bytes as the number of bytes they have received."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
	require.Equal(t, 3600, lt.l.Path().AmplificationCredit())
	lt.wantLimit("3600 bytes left", SendAll)
	lt.send(SpaceInitial, 2)
	lt.wantTimer("a probe fits into what is left", 999*ms)
	lt.send(SpaceHandshake, 1)
	require.Zero(t, lt.l.Path().AmplificationCredit())
	lt.wantLimit("used up", SendNothing)
	// "If no additional data can be sent, the server's PTO timer MUST NOT be armed until datagrams
	// have been received from the client".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-1
	lt.wantNoTimer("used up")
	lt.advance(3 * time.Second)
	lt.l.Path().DatagramReceived(300)
	lt.wantNoTimer("an Initial probe is a datagram of 1200 bytes, 900 are left")
	lt.l.Path().DatagramReceived(100)
	// "When the server receives a datagram from the client, the amplification limit is increased
	// and the server resets the PTO timer. If the PTO timer is then set to a time in the past, it
	// is executed immediately."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-2
	require.True(t, lt.l.NextTimeout().Before(lt.now))
	lt.l.HandleTimeout(lt.now, lt.fate)
	lt.wantProbes("at once", 2, SpaceInitial)
	lt.send(SpaceInitial, 1)
	lt.wantLimit("the credit is used up, which limits probes as well", SendNothing)
	lt.l.Path().ValidateAddress()
	lt.wantLimit("validated", SendAll)
	require.Greater(t, lt.l.Path().AmplificationCredit(), 1<<30)
}

func TestAmplificationLimitIsForServersOnly(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.wantLimit("a client is not limited", SendAll)
}

func TestRetry(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceInitial, 2)
	lt.advance(80 * ms)
	// "Clients that receive a Retry packet reset congestion control and loss recovery state,
	// including resetting any pending timers."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.3-2
	lt.l.ResetForRetry(lt.now)
	lt.check()
	lt.want()
	require.Zero(t, lt.l.Path().BytesInFlight())
	lt.wantTimer("a client must send even if nothing is in flight", 240*ms)
	// "[A client] MUST NOT reset the packet number for any packet number space after processing a
	// Retry packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.3-4
	require.EqualValues(t, 2, lt.send(SpaceInitial, 1))
	// "The client MAY compute an RTT estimate to the server as the time period from when the first
	// Initial packet was sent to when a Retry or a Version Negotiation packet is received."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.3-3
	lt.wantTimer("3 * 80 ms", 240*ms)
	lt.advance(30 * ms)
	lt.ack(SpaceInitial, 0, 2)
	require.Equal(t, 30*ms, lt.l.Path().SmoothedRTT(), "the round trip of the Retry is not a sample")

	lt = newLossTest(t, Config{})
	lt.send(SpaceInitial, 2)
	lt.expire()
	lt.send(SpaceInitial, 2)
	lt.advance(20 * ms)
	lt.l.ResetForRetry(lt.now)
	lt.send(SpaceInitial, 1)
	lt.wantTimer("it is not known which Initial the Retry answers", 999*ms)
}
