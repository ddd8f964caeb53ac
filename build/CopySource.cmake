# Copies a source tree and patches it. Run as a script: -DFROM=… -DTO=… -DPATCH=ON|OFF -DFIPS=… -DMLDSA=… -DHISTORIC=…
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/ DESTINATION ${TO})
if(PATCH)
	set(SOURCE ${TO})
	include(${CMAKE_CURRENT_LIST_DIR}/Policies.cmake)
endif()
# A copied file keeps its date, so objects that were built from a patched copy would look up to date.
file(TOUCH ${TO}/tls/s2n_security_policies.c ${TO}/tls/s2n_client_hello.c ${TO}/tls/extensions/s2n_client_key_share.c
	${TO}/tls/extensions/s2n_quic_transport_params.c)
foreach(name tls/s2n_tls13_certificate_verify.c tls/s2n_signature_algorithms.c crypto/s2n_mldsa.c crypto/s2n_mldsa.h
	crypto/s2n_openssl_x509.c)
	if(EXISTS ${TO}/${name})
		file(TOUCH ${TO}/${name})
	endif()
endforeach()
