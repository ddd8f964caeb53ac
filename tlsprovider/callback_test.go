package tlsprovider

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVerifyPeerErrors checks the alert and the text of an error for what VerifyPeer returns.
func TestVerifyPeerErrors(t *testing.T) {
	refused, own := errors.New("refused"), &Error{Alert: AlertAccessDenied, Err: errors.New("on the list")}
	var none *Error
	for _, tt := range []struct {
		name     string
		returned error
		alert    Alert
		text     string
	}{
		{"plain error", refused, AlertBadCertificate, "tls: bad_certificate: refused"},
		{"*Error", own, AlertAccessDenied, "tls: access_denied: on the list"},
		{"wrapped *Error", fmt.Errorf("client 7: %w", own), AlertAccessDenied, "tls: access_denied: client 7: tls: access_denied: on the list"},
		{"nil *Error", none, AlertInternalError, "tls: internal_error: Config.VerifyPeer returned a nil *tlsprovider.Error as its error; return nil instead"},
		{"wrapped nil *Error", fmt.Errorf("client 7: %w", none), AlertInternalError, "tls: internal_error: Config.VerifyPeer returned a nil *tlsprovider.Error as its error; return nil instead"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{VerifyPeer: func(*State) error { return tt.returned }}
			err := c.RunVerifyPeer(new(State))
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotNil(t, e)
			require.Equal(t, tt.alert.String(), e.Alert.String())
			require.Equal(t, tt.text, err.Error())
		})
	}
	require.NoError(t, new(Config).RunVerifyPeer(new(State)))
}
