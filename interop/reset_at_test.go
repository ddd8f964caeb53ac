package interop

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// A resetStream is a stream of a stack that has RESET_STREAM_AT.
type resetStream interface {
	// resetAt resets the stream, but delivers what was written.
	resetAt(code uint64) error
	// resetCode returns the code with which the peer has reset the stream if err says so.
	resetCode(err error) (code uint64, ok bool)
}

// TestResetStreamAt resets a stream of the client after 100 kB, which all arrive.
func TestResetStreamAt(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		o := options{groups: pq, alpn: alpn, resetAt: true}
		cc, sc := connect(t, client, server, o, o)
		ctx := deadline(t)
		s, err := cc.open(ctx)
		require.NoError(t, err)
		out, ok := s.(resetStream)
		if !ok {
			t.Skip("the client has no RESET_STREAM_AT")
		}
		data := bytes.Repeat([]byte("reliable! "), 10_000)
		_, err = s.Write(data)
		require.NoError(t, err)
		err = out.resetAt(77)
		if _, without := server.(xNet); without {
			require.ErrorIs(t, err, errors.ErrUnsupported)
			return
		}
		require.NoError(t, err)
		r, err := sc.accept(ctx)
		require.NoError(t, err)
		in, ok := r.(resetStream)
		require.True(t, ok)
		got, err := io.ReadAll(r)
		require.Equal(t, len(data), len(got))
		require.Equal(t, data, got)
		code, ok := in.resetCode(err)
		require.True(t, ok, "%v", err)
		require.EqualValues(t, 77, code)
	})
}
