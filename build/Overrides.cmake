# Installed libraries. The variables have the same names as in s2n-tls's Rust binding.
#
#   S2N_TLS_DIR                              include/ and lib/, lib64/ or lib/<multiarch>/
#   S2N_TLS_LIB_DIR + S2N_TLS_INCLUDE_DIR    the two folders
#   AWS_LC_DIR                               the same folders as in S2N_TLS_DIR
#
# Each is a CMake variable or an environment variable. If a folder lacks one of the files, the build fails. It must
# never use another library instead.

foreach(name S2N_TLS_DIR S2N_TLS_LIB_DIR S2N_TLS_INCLUDE_DIR AWS_LC_DIR)
	if(NOT DEFINED ${name} AND NOT "$ENV{${name}}" STREQUAL "")
		set(${name} "$ENV{${name}}")
	endif()
	if(${name})
		get_filename_component(${name} "${${name}}" ABSOLUTE)
	endif()
endforeach()

# Finds lib<name>.a, or else lib<name>.so, below dir.
function(override_library variable dir name)
	foreach(sub . lib lib64 lib/${CMAKE_LIBRARY_ARCHITECTURE})
		foreach(ext a so)
			if(EXISTS ${dir}/${sub}/lib${name}.${ext})
				get_filename_component(path ${dir}/${sub}/lib${name}.${ext} ABSOLUTE)
				set(${variable} ${path} PARENT_SCOPE)
				return()
			endif()
		endforeach()
	endforeach()
	message(FATAL_ERROR "${dir} holds neither lib${name}.a nor lib${name}.so (looked in it, and in its lib, lib64 and "
		"lib/${CMAKE_LIBRARY_ARCHITECTURE})")
endfunction()

function(override_header variable dir header)
	foreach(sub . include)
		if(EXISTS ${dir}/${sub}/${header})
			get_filename_component(path ${dir}/${sub} ABSOLUTE)
			set(${variable} ${path} PARENT_SCOPE)
			return()
		endif()
	endforeach()
	message(FATAL_ERROR "${dir} holds no ${header} (looked in it and in its include)")
endfunction()

if(HISTORIC AND (S2N_TLS_DIR OR S2N_TLS_LIB_DIR OR S2N_TLS_INCLUDE_DIR))
	message(FATAL_ERROR "S2N_TLS_DIR, S2N_TLS_LIB_DIR or S2N_TLS_INCLUDE_DIR is set, but the variant historic works only "
		"with the s2n-tls that it builds: unset it")
endif()
if(S2N_TLS_DIR)
	override_library(OVERRIDE_S2N_LIB ${S2N_TLS_DIR} s2n)
	override_header(OVERRIDE_S2N_INCLUDE ${S2N_TLS_DIR} s2n.h)
elseif(S2N_TLS_LIB_DIR OR S2N_TLS_INCLUDE_DIR)
	if(NOT S2N_TLS_LIB_DIR OR NOT S2N_TLS_INCLUDE_DIR)
		message(FATAL_ERROR "S2N_TLS_LIB_DIR and S2N_TLS_INCLUDE_DIR go together: set both, or S2N_TLS_DIR")
	endif()
	override_library(OVERRIDE_S2N_LIB ${S2N_TLS_LIB_DIR} s2n)
	override_header(OVERRIDE_S2N_INCLUDE ${S2N_TLS_INCLUDE_DIR} s2n.h)
endif()
# The variants openssl and historic use the system's OpenSSL, or the one in OPENSSL_ROOT_DIR.
if(SYSTEM_OPENSSL)
	if(AWS_LC_DIR)
		message(FATAL_ERROR "AWS_LC_DIR=\"${AWS_LC_DIR}\" is set, but the variant ${VARIANT} does not use AWS-LC: unset it")
	endif()
	find_package(OpenSSL 3.0)
	if(NOT OPENSSL_CRYPTO_LIBRARY MATCHES "\\.so$")
		message(FATAL_ERROR "the variant ${VARIANT} needs OpenSSL 3.0 or newer, with headers and libcrypto.so: install libssl-dev "
			"(scripts/bootstrap build ${VARIANT}), or name a folder in OPENSSL_ROOT_DIR")
	endif()
	set(OVERRIDE_CRYPTO_LIB ${OPENSSL_CRYPTO_LIBRARY})
	set(OVERRIDE_CRYPTO_INCLUDE ${OPENSSL_INCLUDE_DIR})
	get_filename_component(OVERRIDE_CRYPTO_PREFIX ${OVERRIDE_CRYPTO_INCLUDE} DIRECTORY)
elseif(AWS_LC_DIR)
	override_library(OVERRIDE_CRYPTO_LIB ${AWS_LC_DIR} crypto)
	override_header(OVERRIDE_CRYPTO_INCLUDE ${AWS_LC_DIR} openssl/base.h)
	get_filename_component(OVERRIDE_CRYPTO_PREFIX ${OVERRIDE_CRYPTO_INCLUDE} DIRECTORY)
endif()

# A shared libs2n must use a shared libcrypto. The symbols of a static one are local to our archive, so libs2n would
# load another libcrypto, and a connection would use two modules, one for its handshake and one for its packets.
if(OVERRIDE_S2N_LIB MATCHES "\\.so$" AND NOT OVERRIDE_CRYPTO_LIB MATCHES "\\.so$")
	message(FATAL_ERROR "${OVERRIDE_S2N_LIB} is a shared library and cannot use a static AWS-LC: name a folder with "
		"a static libs2n.a, or the shared libcrypto.so that it was linked with in AWS_LC_DIR")
endif()
if(OVERRIDE_CRYPTO_LIB MATCHES "\\.so$" AND NOT SYSTEM_OPENSSL)
	message(WARNING "${OVERRIDE_CRYPTO_LIB} is a shared library. Its symbols clash with those of any other libcrypto that "
		"a program loads; such programs are refused at start. A static AWS-LC has no such limit")
endif()

# check_declared fails the build if a library lacks a function that a header declares.
function(check_declared lib header)
	if(lib MATCHES "\\.so$")
		set(dynamic -D)
	endif()
	execute_process(COMMAND ${CMAKE_NM} -g --defined-only ${dynamic} ${lib}
		OUTPUT_VARIABLE symbols ERROR_QUIET RESULT_VARIABLE failed)
	if(failed)
		message(FATAL_ERROR "${CMAKE_NM} cannot read ${lib}")
	endif()
	file(STRINGS ${header} declarations REGEX "^S2N_API.*[ *](s2n_[a-z0-9_]+)\\(")
	if(NOT declarations)
		message(FATAL_ERROR "${header} declares no function of s2n-tls")
	endif()
	foreach(line IN LISTS declarations)
		string(REGEX MATCH "(s2n_[a-z0-9_]+)\\(" _ "${line}")
		string(FIND "${symbols}" " ${CMAKE_MATCH_1}\n" at)
		if(at EQUAL -1)
			message(FATAL_ERROR "${lib} has no ${CMAKE_MATCH_1}, which ${header} declares: header and library are of "
				"different versions of s2n-tls")
		endif()
	endforeach()
endfunction()

# The headers and libraries of s2n-tls have no version number. Its header must match the library. So must
# s2n_quic_support.h, which is not installed and comes from the sources: they must be of the same release, which is
# the case if their s2n.h equals the installed one.
if(OVERRIDE_S2N_LIB)
	set(installed ${OVERRIDE_S2N_INCLUDE}/s2n.h)
	set(source ${S2N_TLS_SOURCE_DIR}/api/s2n.h)
	if(NOT EXISTS ${source})
		message(FATAL_ERROR "S2N_TLS_SOURCE_DIR=\"${S2N_TLS_SOURCE_DIR}\" holds no s2n-tls sources (no api/s2n.h)")
	endif()
	file(SHA256 ${installed} installed_hash)
	file(SHA256 ${source} source_hash)
	if(NOT installed_hash STREQUAL source_hash)
		message(FATAL_ERROR "${installed} is not of the same release as s2n_quic_support.h, which comes from the "
			"sources in ${S2N_TLS_SOURCE_DIR}. Set the sources of your s2n-tls: -DS2N_TLS_SOURCE_DIR=…")
	endif()
	check_declared(${OVERRIDE_S2N_LIB} ${installed})
	check_declared(${OVERRIDE_S2N_LIB} ${S2N_TLS_SOURCE_DIR}/tls/s2n_quic_support.h)
endif()
