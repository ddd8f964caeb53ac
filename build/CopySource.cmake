# Copies a source tree and patches it; run as a script: -DFROM=… -DTO=… -DPATCH=ON|OFF -DFIPS=…
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/ DESTINATION ${TO})
if(PATCH)
	set(SOURCE ${TO})
	include(${CMAKE_CURRENT_LIST_DIR}/Policies.cmake)
endif()
# A copied file keeps its date, which is older than that of objects built from a patched file.
file(TOUCH ${TO}/tls/s2n_security_policies.c)
