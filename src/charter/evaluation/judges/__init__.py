"""Who judges in an evaluation: rules, a judge with its card, a panel; and people's labels beside them."""
