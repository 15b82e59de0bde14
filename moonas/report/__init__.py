"""What people look at: Plotly figures and drawn cells, and the self-contained HTML report made of them. Free of torch."""
