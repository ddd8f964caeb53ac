# The part of Policies.cmake for the variant historic: the key exchanges of 2022, and the policy of AWS's study of that
# year as the default. It also fails the build if the portable code of a KEM would be measured instead of the
# optimised one: cmake -DCACHE=(CMakeCache.txt of s2n-tls) -P Historic.cmake

if(CACHE)
	# BIKE falls back in silence. The probe for VPCLMUL fails with every compiler, as it does in the Rust crate's own
	# build: the file it compiles includes the intrinsics only together with other options.
	set(found "")
	foreach(probe KYBER512R3_AVX2_BMI2 BIKE_R3_AVX2 BIKE_R3_AVX512 BIKE_R3_PCLMUL BIKE_R3_VPCLMUL SIKEP434R3_ASM ADX)
		file(STRINGS ${CACHE} line REGEX "^${probe}_SUPPORTED:[A-Z]*=(TRUE|ON|1|true)$")
		if(line)
			list(APPEND found ${probe})
		elseif(NOT probe MATCHES "^(BIKE_R3_VPCLMUL|ADX)$")
			message(FATAL_ERROR "the variant historic is for measurements, and s2n-tls's probe for ${probe} failed: the "
				"portable code of that algorithm would be measured. It needs x86-64 and a compiler for its instructions "
				"(GCC 8 or newer)")
		endif()
	endforeach()
	string(REPLACE ";" ", " found "${found}")
	message(STATUS "optimised code of the KEMs: ${found}")
	return()
endif()

set(is "=")
set(groups X25519Kyber512R3 SecP256r1Kyber512R3 X25519BIKEL1R3 SecP256r1BIKEL1R3 X25519SIKEp434R3 SecP256r1SIKEp434R3
	X25519 P-256 P-384)
set(kinds kem kem kem kem kem kem curve curve curve)
set(symbols s2n_x25519_kyber_512_r3 s2n_secp256r1_kyber_512_r3 s2n_x25519_bike_l1_r3 s2n_secp256r1_bike_l1_r3
	s2n_x25519_sike_p434_r3 s2n_secp256r1_sike_p434_r3
	s2n_ecc_curve_x25519 s2n_ecc_curve_secp256r1 s2n_ecc_curve_secp384r1)
set(default PQ-TLS-1-0-2021-05-26)
set(ciphers cipher_preferences_pq_tls_1_0_2021_05_26)
set(signatures s2n_signature_preferences_20200207)
set(certificates NULL)
# Its ciphers for TLS 1.2, which QUIC does not use, require KEMs.
set(kems ".kem_count = s2n_array_len(pq_kems_r3r2r1_2021_05), .kems = pq_kems_r3r2r1_2021_05, ")

# The table becomes longer than an index of eight bits.
replace_once("for (uint8_t i = 0; security_policy_selection[i].version" "for (int i = 0; security_policy_selection[i].version")
# A policy may have KEMs only, as in the current version: then a client sends no share of a curve.
replace_once("S2N_ERROR_IF(ecc_preference->count == 0, S2N_ERR_INVALID_SECURITY_POLICY);"
	"S2N_ERROR_IF(ecc_preference->count == 0 && kem_preference->tls13_kem_group_count == 0, S2N_ERR_INVALID_SECURITY_POLICY);")
set(policies "${text}")
set(share ${SOURCE}/tls/extensions/s2n_client_key_share.c)
file(READ ${share} text)
set(first_curve "        client_params->negotiated_curve = ecc_pref->ecc_curves[0];\n")
replace_once("${first_curve}"
	"        if (ecc_pref->count == 0) {\n            return S2N_SUCCESS;\n        }\n${first_curve}")
file(WRITE ${share} "${text}")
set(hello ${SOURCE}/tls/s2n_client_hello.c)
file(READ ${hello} text)
replace_once("    POSIX_ENSURE_GT(ecc_pref->count, 0);\n" "")
file(WRITE ${hello} "${text}")
# A second ClientHello, after a HelloRetryRequest, leaked the transport parameters of the first.
set(params ${SOURCE}/tls/extensions/s2n_quic_transport_params.c)
file(READ ${params} text)
set(alloc "        POSIX_GUARD(s2n_alloc(&conn->peer_quic_transport_parameters,")
replace_once("${alloc}" "        POSIX_GUARD(s2n_free(&conn->peer_quic_transport_parameters));\n${alloc}")
file(WRITE ${params} "${text}")
set(text "${policies}")
