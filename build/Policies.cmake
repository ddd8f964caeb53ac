# Changes s2n-tls's table of security policies in a copy of its sources: `default_tls13` becomes
# post-quantum, and each set of key exchange groups gets a row, because the public API has no function that sets
# the groups. Run as a script: cmake -DSOURCE=… -DFIPS=… -DMLDSA=… -DHISTORIC=… -P Policies.cmake
#
# The build fails if a line that this file replaces has changed, so that the default cannot stay classical.

set(file ${SOURCE}/tls/s2n_security_policies.c)
file(READ ${file} text)

function(replace_once old new)
	string(FIND "${text}" "${old}" at)
	if(at EQUAL -1)
		message(FATAL_ERROR "${CMAKE_CURRENT_LIST_FILE}: s2n-tls has no line\n  ${old}\nin ${file}: "
			"upstream has changed; adapt this file to it")
	endif()
	string(REPLACE "${old}" "${new}" text "${text}")
	set(text "${text}" PARENT_SCOPE)
endfunction()

# policy_of returns the C name of the policy in a row of the table.
function(policy_of row out)
	string(REGEX MATCH "\\.version ?= ?\"${row}\", \\.security_policy ?= ?&([a-z0-9_]+)" _ "${text}")
	if(NOT CMAKE_MATCH_1)
		message(FATAL_ERROR "build/Policies.cmake: s2n-tls has no policy \"${row}\"")
	endif()
	set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

# The sets of groups, by the bits of their names: pqquic_01 to pqquic_ff, or in the variant historic to pqquic_1ff.
# The kind of a group selects the list of s2n-tls that it belongs to. The lists are in order of preference.
set(is " = ")
set(kems "")
if(HISTORIC)
	include(${CMAKE_CURRENT_LIST_DIR}/Historic.cmake)
else()
	set(groups X25519MLKEM768 SecP256r1MLKEM768 SecP384r1MLKEM1024 X25519 P-256 P-384 MLKEM1024 P-521)
	set(kinds kem kem kem curve curve curve kem curve)
	set(symbols s2n_x25519_mlkem_768 s2n_secp256r1_mlkem_768 s2n_secp384r1_mlkem_1024
		s2n_ecc_curve_x25519 s2n_ecc_curve_secp256r1 s2n_ecc_curve_secp384r1
		s2n_pure_mlkem_1024 s2n_ecc_curve_secp521r1)
	if(FIPS)
		set(default default_fips)
		set(ciphers cipher_preferences_20251015)
		set(signatures s2n_signature_preferences_20240501)
		set(certificates &s2n_certificate_signature_preferences_20201110)
		if(MLDSA) # the same lists with ML-DSA first
			set(signatures s2n_signature_preferences_20250512)
			set(certificates &s2n_certificate_signature_preferences_20250512)
		endif()
	else()
		set(default default_pq)
		set(ciphers cipher_preferences_cloudfront_tls_1_2_2019) # default_pq's: AES-128-GCM first
		set(signatures s2n_signature_preferences_20250512)
		set(certificates &s2n_certificate_signature_preferences_20250512)
	endif()
endif()

# default_tls13 becomes the policy of the row default.
policy_of(default_tls13 classical)
policy_of(${default} pq)
set(row "{ .version${is}\"default_tls13\", .security_policy${is}&")
replace_once("${row}${classical}," "${row}${pq},")

list(LENGTH groups count)
math(EXPR last_bit "${count} - 1")
math(EXPR last_mask "(1 << ${count}) - 1")
set(rows "")
set(defs "/* Groups by set: written by build/Policies.cmake. */\n")
# s2n-tls searches its table from the start, in each handshake. Policies of one group come first, so that they
# take equal time in measurements.
set(masks "")
foreach(bit RANGE 0 ${last_bit})
	math(EXPR mask "1 << ${bit}")
	list(APPEND masks ${mask})
endforeach()
foreach(mask RANGE 1 ${last_mask})
	list(APPEND masks ${mask})
endforeach()
list(REMOVE_DUPLICATES masks)
foreach(mask IN LISTS masks)
	set(kem_list "")
	set(kem_count 0)
	set(curve_list "")
	set(curve_count 0)
	foreach(bit RANGE 0 ${last_bit})
		math(EXPR has "(${mask} >> ${bit}) & 1")
		if(has)
			list(GET kinds ${bit} kind)
			list(GET symbols ${bit} name)
			string(APPEND ${kind}_list "&${name}, ")
			math(EXPR ${kind}_count "${${kind}_count} + 1")
		endif()
	endforeach()
	# s2n-tls requires an empty list to be NULL.
	set(kem_groups NULL)
	set(kem_array "")
	math(EXPR hex "${mask}" OUTPUT_FORMAT HEXADECIMAL)
	string(REGEX REPLACE "^0x" "" hex "${hex}")
	if(mask LESS 16)
		set(hex "0${hex}")
	endif()
	if(kem_count GREATER 0)
		set(kem_groups pqq_kems_${hex})
		set(kem_array "static const struct s2n_kem_group *pqq_kems_${hex}[] = { ${kem_list}NULL };\n")
	endif()
	string(APPEND defs
		"${kem_array}"
		"static const struct s2n_kem_preferences pqq_kem_preferences_${hex} = { ${kems}.tls13_kem_group_count = ${kem_count}, .tls13_kem_groups = ${kem_groups} };\n"
		"static const struct s2n_ecc_named_curve *const pqq_curves_${hex}[] = { ${curve_list}NULL };\n"
		"static const struct s2n_ecc_preferences pqq_ecc_preferences_${hex} = { .count = ${curve_count}, .ecc_curves = pqq_curves_${hex} };\n"
		"static const struct s2n_security_policy pqq_policy_${hex} = { .minimum_protocol_version = S2N_TLS13, .cipher_preferences = &${ciphers}, .kem_preferences = &pqq_kem_preferences_${hex}, .signature_preferences = &${signatures}, .certificate_signature_preferences = ${certificates}, .ecc_preferences = &pqq_ecc_preferences_${hex} };\n")
	set(row ".security_policy = &pqq_policy_${hex}, .ecc_extension_required = 0, .pq_kem_extension_required = 0 },\n")
	string(APPEND rows "    { .version = \"pqquic_${hex}\", ${row}")
	math(EXPR single "${mask} & (${mask} - 1)")
	if(single EQUAL 0)
		set(bit 0)
		math(EXPR rest "${mask} >> 1")
		while(rest GREATER 0)
			math(EXPR bit "${bit} + 1")
			math(EXPR rest "${rest} >> 1")
		endwhile()
		list(GET groups ${bit} name)
		string(TOLOWER "${name}" name)
		string(APPEND rows "    { .version = \"pqquic_${name}\", ${row}")
	endif()
endforeach()

# The test case chacha20 of the QUIC interop runner: default_pq's groups with one cipher suite. It is not approved
# under FIPS 140-3.
if(NOT FIPS AND NOT HISTORIC)
	string(APPEND defs
		"static struct s2n_cipher_suite *pqq_chacha20[] = { &s2n_tls13_chacha20_poly1305_sha256 };\n"
		"static const struct s2n_cipher_preferences pqq_ciphers_chacha20 = { .count = 1, .suites = pqq_chacha20 };\n"
		"static const struct s2n_security_policy pqq_policy_chacha20 = { .minimum_protocol_version = S2N_TLS13, .cipher_preferences = &pqq_ciphers_chacha20, .kem_preferences = &pqq_kem_preferences_3f, .signature_preferences = &${signatures}, .certificate_signature_preferences = ${certificates}, .ecc_preferences = &pqq_ecc_preferences_3f };\n")
	string(APPEND rows "    { .version = \"pqquic_chacha20\", .security_policy = &pqq_policy_chacha20, .ecc_extension_required = 0, .pq_kem_extension_required = 0 },\n")
endif()

# default_fips with ML-DSA certificates, for modules that have ML-DSA.
if(FIPS AND MLDSA)
	string(APPEND defs
		"static const struct s2n_security_policy pqq_policy_fips_mldsa = { .minimum_protocol_version = S2N_TLS13, .cipher_preferences = &${ciphers}, .kem_preferences = &kem_preferences_pq_tls_1_3_ietf_2025_07, .signature_preferences = &${signatures}, .certificate_signature_preferences = ${certificates}, .ecc_preferences = &s2n_ecc_preferences_20201021 };\n")
	string(APPEND rows "    { .version = \"pqquic_fips_mldsa\", .security_policy = &pqq_policy_fips_mldsa, .ecc_extension_required = 0, .pq_kem_extension_required = 0 },\n")
endif()

set(table "struct s2n_security_policy_selection security_policy_selection")
replace_once("${table}" "${defs}\n${table}")
set(first "    { .version${is}\"default\", ")
replace_once("${first}" "${rows}${first}")
file(WRITE ${file} "${text}")
if(NOT HISTORIC)
	include(${CMAKE_CURRENT_LIST_DIR}/MLDSA.cmake)
endif()
