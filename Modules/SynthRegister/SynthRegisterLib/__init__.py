"""What only SynthRegister uses: its panel's parts, and the work behind them."""
