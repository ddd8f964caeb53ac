# Copies a source tree and patches it. Run as a script: -DFROM=… -DTO=… -DPATCH=ON|OFF -DFIPS=… -DHISTORIC=…
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/ DESTINATION ${TO})
if(PATCH)
	set(SOURCE ${TO})
	include(${CMAKE_CURRENT_LIST_DIR}/Policies.cmake)
endif()
# A copied file keeps its date, so objects that were built from a patched copy would look up to date.
file(TOUCH ${TO}/tls/s2n_security_policies.c ${TO}/tls/s2n_client_hello.c ${TO}/tls/extensions/s2n_client_key_share.c
	${TO}/tls/extensions/s2n_quic_transport_params.c)
