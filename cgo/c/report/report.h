/* report.h declares what the files of the FIPS report share. */
#ifndef PQQ_REPORT_H
#define PQQ_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* pqq_report_describe writes the parameters of a call. args has the first six arguments. It is called before the call,
 * and again after a successful one if it wrote nothing, with after set. */
typedef void pqq_report_describe(char *out, size_t cap, const uint64_t args[6], int after);

/* A service is a line of the file services. build/report lays it out. */
typedef struct {
	const char *name, *result;
	pqq_report_describe *describe;
} pqq_report_service;

/* pqq_report_enter begins a call and keeps its return address, which pqq_report_leave returns. result is the register in
 * which the function returned its result. */
void pqq_report_enter(const pqq_report_service *service, const uint64_t args[6], void *return_address);
void *pqq_report_leave(uint64_t result);

#define PQQ_REPORT_KEY 32 /* room for the name of a key */

/* params.c, named by the file services. */
pqq_report_describe pqq_report_md0, pqq_report_md2, pqq_report_md4, pqq_report_md_ctx, pqq_report_aead, pqq_report_cipher,
	pqq_report_signature, pqq_report_key_ctx, pqq_report_generated;

#endif
