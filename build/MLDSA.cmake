# Changes how a copy of s2n-tls uses ML-DSA. Policies.cmake includes it.
#
# A private key may be elsewhere: what ML-DSA signs begins with a hash of the public key, which s2n-tls reads from the
# private key. If it has none, it now reads the certificate.
#
# AWS-LC-FIPS 4.x lacks EVP_PKEY_pqdsa_get_type, and s2n-tls then does without ML-DSA. It now finds the parameter set by
# the length of the public key, which is different in each (FIPS 204, table 2).

function(replace_in name old new)
	set(file ${SOURCE}/${name})
	file(READ ${file} text)
	replace_once("${old}" "${new}")
	file(WRITE ${file} "${text}")
endfunction()

set(private "    const struct s2n_pkey *pkey = conn->handshake_params.our_chain_and_key->private_key;\n")
replace_in(tls/s2n_tls13_certificate_verify.c "${private}"
	"${private}    DEFER_CLEANUP(struct s2n_pkey public_key = { 0 }, s2n_pkey_free);
    POSIX_ENSURE_REF(pkey);
    if (chosen_sig_scheme->sig_alg == S2N_SIGNATURE_MLDSA && pkey->pkey == NULL) {
        s2n_pkey_type pkey_type = S2N_PKEY_TYPE_UNKNOWN;
        POSIX_GUARD_RESULT(s2n_asn1der_to_public_key_and_type(&public_key, &pkey_type,
                &conn->handshake_params.our_chain_and_key->cert_chain->head->raw));
        pkey = &public_key;
    }
")
# cgo/c/current/glue.c looks for this function.
set(supported "bool s2n_mldsa_is_supported()\n{")
replace_in(crypto/s2n_mldsa.c "${supported}"
	"bool s2n_mldsa_signs_elsewhere(void)\n{\n    return true;\n}\n\n${supported}")

if(FIPS)
	set(declaration "bool s2n_mldsa_is_supported();\n")
	replace_in(crypto/s2n_mldsa.h "${declaration}" "${declaration}
#if S2N_LIBCRYPTO_SUPPORTS_MLDSA
static inline int s2n_mldsa_type(const EVP_PKEY *pkey)
{
    size_t len = 0;
    if (EVP_PKEY_base_id(pkey) != EVP_PKEY_PQDSA || EVP_PKEY_get_raw_public_key(pkey, NULL, &len) != 1) {
        return NID_undef;
    }
    switch (len) {
        case 1312:
            return NID_MLDSA44;
        case 1952:
            return NID_MLDSA65;
        case 2592:
            return NID_MLDSA87;
        default:
            return NID_undef;
    }
}
#endif
")
	replace_in(tests/features/S2N_LIBCRYPTO_SUPPORTS_MLDSA.c "    EVP_PKEY_pqdsa_get_type(NULL);\n" "")
	replace_in(crypto/s2n_openssl_x509.c "EVP_PKEY_pqdsa_get_type(pubkey)" "s2n_mldsa_type(pubkey)")
	replace_in(tls/s2n_signature_algorithms.c "EVP_PKEY_pqdsa_get_type(evp_key)" "s2n_mldsa_type(evp_key)")
	replace_in(tls/s2n_signature_algorithms.c "#include \"crypto/s2n_fips.h\"\n"
		"#include \"crypto/s2n_fips.h\"\n#include \"crypto/s2n_mldsa.h\"\n")
endif()
