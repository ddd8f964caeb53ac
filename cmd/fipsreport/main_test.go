package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/fipsreport"
)

// TestReasons checks that the reasons hold for the operations that they are about and for no others: what is not counted
// elsewhere fails the report.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		function, params, callers, letter string
	}{
		{"HKDF_extract", "SHA256", "pqq_crypto_extract pqq_initial_secret pqq_open_initial", "a"},
		{"EVP_AEAD_CTX_seal", "AES-128-GCM, the caller's nonce", "seal_batch pqq_seal", "a"},
		{"EVP_AEAD_CTX_seal", "AES-256-GCM, the caller's nonce", "seal_batch pqq_seal", ""},
		{"EVP_AEAD_CTX_seal", "ChaCha20-Poly1305", "seal_batch pqq_seal", ""},
		{"EVP_AEAD_CTX_seal", "AES-128-GCM, the caller's nonce", "pqq_retry_tag", "b"},
		{"EVP_PKEY_derive", "X25519", "s2n_ecc_evp_compute_shared_secret pqq_drive", "c"},
		{"EVP_PKEY_derive", "prime256v1", "s2n_ecc_evp_compute_shared_secret pqq_drive", ""},
		{"HKDF_extract", "SHA256", "s2n_libcrypto_hkdf_extract s2n_hkdf_extract.part.0 s2n_negotiate pqq_drive", "d"},
		{"HKDF_expand", "SHA256", "s2n_libcrypto_hkdf_expand s2n_hkdf_expand s2n_negotiate pqq_drive", ""},
		{"HKDF_extract", "SHA256", "pqq_crypto_extract pqq_seal", ""},
		{"HKDF", "SHA256", "s2n_hkdf s2n_config_add_ticket_crypto_key pqq_config_add_ticket_key", "e"},
		{"HKDF", "SHA256", "pqq_crypto_hkdf pqq_token_new", ""},
		{"EVP_AEAD_CTX_seal", "AES-256-GCM for TLS 1.2", "s2n_aead_cipher_aes_gcm_encrypt pqq_drive", ""},
	} {
		row := fipsreport.Row{Function: c.function, Params: c.params, Callers: strings.Fields(c.callers), Unapproved: 1}
		letter, ok := reasonOf(row)
		require.Equal(t, c.letter, letter, "%+v", c)
		require.Equal(t, c.letter != "", ok)
		res := resultOf("kind", []fipsreport.Row{row})
		require.Equal(t, c.letter == "", len(unexplained([]result{res})) == 1, "%+v", c)
	}
	ticket := fipsreport.Row{Function: "EVP_AEAD_CTX_seal", Params: "AES-256-GCM for TLS 1.2", Approved: 1}
	letter, _ := reasonOf(ticket)
	require.Equal(t, "f", letter, "counted, but not relied on")
}

func TestStages(t *testing.T) {
	for callers, want := range map[string]string{
		"s2n_evp_hash_digest s2n_client_hello_recv.cold s2n_establish_session s2n_negotiate_impl s2n_negotiate pqq_drive _cgo_1": "ClientHello: receive",
		"s2n_hkdf s2n_psk_calculate_binder s2n_client_hello_send s2n_negotiate pqq_drive":                                        "PSK binder",
		"seal_batch pqq_seal _cgo_2 runtime.asmcgocall.abi0":                                                                     "packets: seal",
		"s2n_new_thing s2n_negotiate pqq_drive":                                                                                  "s2n_new_thing",
		"":                                                                                                                       "other",
	} {
		require.Equal(t, want, stageOf(fipsreport.Row{Callers: strings.Fields(callers)}), callers)
	}
}

// TestTable checks that a service of which only some calls were counted is not shown as approved.
func TestTable(t *testing.T) {
	rows := []fipsreport.Row{
		{Function: "EVP_PKEY_keygen", Params: "X25519", Callers: []string{"s2n_client_hello_send"}, Approved: 1},
		{Function: "EVP_PKEY_keygen", Params: "X25519", Callers: []string{"x", "s2n_client_hello_send"}, Unapproved: 1},
		{Function: "HMAC", Params: "SHA256", Callers: []string{"pqq_reset_token"}, Approved: 7},
		{Function: "EVP_AEAD_CTX_open", Params: "AES-128-GCM for TLS 1.3", Callers: []string{"pqq_open"}, Failed: 1},
	}
	var b strings.Builder
	require.NoError(t, write(&b, "module", []result{resultOf("one", rows[:2]), resultOf("two", rows[2:])}))
	for _, want := range []string{
		"| one | c |\n", "| two |  |\n",
		"| ClientHello: send | EVP_PKEY_keygen | X25519 | in part: c |\n",
		"| stateless resets: token | HMAC | SHA256 | yes |\n",
		"| packets: open | EVP_AEAD_CTX_open | AES-128-GCM for TLS 1.3 | failed |\n",
	} {
		require.Contains(t, b.String(), want)
	}
}

// TestWithoutArchive checks the error of a program that is not linked with the archive of the report.
func TestWithoutArchive(t *testing.T) {
	if _, err := fipsreport.Rows(); err == nil {
		t.Skip("this program is linked with the archive")
	}
	c := newCommand()
	c.SetArgs(nil)
	c.SetOut(new(strings.Builder))
	require.ErrorContains(t, c.Execute(), "make fips-report")
}
