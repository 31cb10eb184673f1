/* fill_people.c - devices, destinations, patients. */
#include <ctype.h>
#include <stdio.h>

#include "tests/bench/fill.h"

const struct modality_facts modalities[MODALITIES] = {
    [CT] = {"CT", "1.2.840.10008.5.1.4.1.1.2", 120, 1500, 525000},
    [MR] = {"MR", "1.2.840.10008.5.1.4.1.1.4", 80, 900, 260000},
    [US] = {"US", "1.2.840.10008.5.1.4.1.1.6.1", 10, 80, 900000},
    [CR] = {"CR", "1.2.840.10008.5.1.4.1.1.1", 1, 4, 9000000},
    [MG] = {"MG", "1.2.840.10008.5.1.4.1.1.1.2", 4, 8, 25000000},
};

const char *const destinations[DESTINATIONS] = {"cloud", "second", "research"};

/* Eight of each; the first ones do most of the work, the last two of each stood
 * only in the first year. */
enum modality modality_of(unsigned device)
{
	return (enum modality)(device % MODALITIES);
}

unsigned pick_device(double done)
{
	for (;;) {
		unsigned d =
		    (unsigned)(below(DEVICES) * below(DEVICES) / DEVICES);

		if (d < DEVICES * 3 / 4 || done < 0.2)
			return d;
	}
}

void names_of(unsigned device, char name[NAME_LEN], char ae[NAME_LEN])
{
	snprintf(name, NAME_LEN, "%s-room-%u",
		 modalities[modality_of(device)].name, device / MODALITIES);
	for (char *p = name; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	snprintf(ae, NAME_LEN, "%s%u", modalities[modality_of(device)].name,
		 device / MODALITIES);
}

static const char *const families[][2] = {
    {"Wang", "王"}, {"Li", "李"},   {"Zhang", "张"}, {"Liu", "刘"},
    {"Chen", "陈"}, {"Yang", "杨"}, {"Huang", "黄"}, {"Ouyang", "欧阳"}};
static const char *const given[][2] = {
    {"Wei", "伟"},     {"Fang", "芳"},       {"Xiaoming", "小明"},
    {"Lihua", "丽华"}, {"Guoqiang", "国强"}, {"Na", "娜"},
    {"Jing", "静"},    {"Yuhan", "雨涵"},    {"Jianguo", "建国"}};
static const char *const others[] = {
    "Meyer^Anna", "Smith^John^Q", "García^José", "Øster^Søren", "O'Neill^Ed"};

#define N(a) (sizeof(a) / sizeof((a)[0]))

void identity_of(uint64_t patient, uint64_t accession,
		 struct ledger_identity *out)
{
	uint64_t f = patient / 3 % N(families), g = patient / 24 % N(given);

	*out = (struct ledger_identity){0};
	snprintf(out->accession, sizeof(out->accession), "A%08llu",
		 (unsigned long long)accession);
	snprintf(out->patient_id, sizeof(out->patient_id), "PID%07llu",
		 (unsigned long long)patient);
	if (patient % 3 == 0)
		snprintf(out->patient_name, sizeof(out->patient_name),
			 "%s^%s=%s^%s", families[f][0], given[g][0],
			 families[f][1], given[g][1]);
	else
		snprintf(out->patient_name, sizeof(out->patient_name), "%s",
			 others[patient / 3 % N(others)]);
}
