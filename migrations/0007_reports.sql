-- What the report of a quarter's changes looks for: moves by their day, lives that ended for a reason. Both are few among many.
CREATE INDEX parcel_transition_effective_idx ON parcel_transition (ledger, effective_on);
CREATE INDEX turnover_parcel_ended_idx ON turnover_parcel (valid_to) WHERE end_reason IS NOT NULL;
CREATE INDEX low_efficiency_parcel_ended_idx ON low_efficiency_parcel (valid_to) WHERE end_reason IS NOT NULL;
