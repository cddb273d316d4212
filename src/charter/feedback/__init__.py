"""Who judges groups: rules now; and pairs made from judgements."""
